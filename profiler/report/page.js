(() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const charts = read("charts");
  const themes = read("themes");
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  let drawn = [];

  const unpacked = (spec) => {
    const { fields, rows } = spec.data;
    const values = rows.map((row) => Object.fromEntries(fields.map((name, i) => [name, row[i]])));
    return { ...spec, data: { values } };
  };

  const draw = async () => {
    drawn.forEach((result) => result.finalize());
    drawn = [];
    const theme = dark.matches ? "dark" : "light";
    for (const [id, spec] of Object.entries(charts)) {
      const place = document.getElementById(id);
      try {
        drawn.push(await window.vegaEmbed(place, unpacked(spec), {
          mode: "vega-lite",
          renderer: "svg",
          ast: true,
          config: themes[theme],
          tooltip: { theme },
          actions: { export: true, source: false, compiled: false, editor: false },
        }));
      } catch (error) {
        place.classList.add("failed");
        place.textContent = `This picture could not be drawn: ${error.message}`;
      }
    }
    document.documentElement.dataset.drawn = theme;
  };

  dark.addEventListener("change", draw);
  draw();
})();
