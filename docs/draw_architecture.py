"""Draws architecture.svg: the rooms, their folders, and the four ways that data takes.

python docs/draw_architecture.py
"""

from __future__ import annotations

from pathlib import Path

WIDTH, HEIGHT = 1180, 690
MARGIN = 35
"""By which all but `FILES` is moved to the right, to leave them room."""
INK, PALE = "#1f2937", "#f8fafc"
ROOMS = {  # name: (top, height, colour)
    "search": (20, 150, "#ede9fe"),
    "profiler": (190, 230, "#dbeafe"),
    "supernet": (440, 150, "#dcfce7"),
    "common": (610, 60, "#f1f5f9"),
}
BOXES = {  # name: (left, top, width, what stands in it)
    "plot": (560, 40, 120, "output, plot"),
    "search export": (700, 40, 100, "export"),
    "family": (820, 40, 100, "family"),
    "verification": (940, 40, 120, "verification"),
    "request": (140, 105, 100, "request"),
    "accuracy": (260, 105, 100, "accuracy"),
    "candidates": (380, 105, 130, "candidates"),
    "answer": (560, 105, 120, "answer"),
    "large": (700, 105, 100, "large"),
    "transfer": (820, 105, 180, "measures, transfer"),
    "fleet": (140, 205, 90, "fleet"),
    "side_by_side": (250, 205, 110, "side_by_side"),
    "layers": (720, 205, 100, "layers"),
    "comparison": (840, 205, 110, "comparison"),
    "history": (970, 205, 90, "history"),
    "inventory": (140, 275, 110, "inventory"),
    "measurement": (290, 275, 130, "measurement"),
    "results": (560, 275, 120, "results"),
    "report": (720, 275, 100, "report"),
    "latency_model": (840, 275, 120, "latency_model"),
    "block_tables": (970, 275, 110, "block_tables"),
    "transports": (140, 350, 110, "transports"),
    "agent": (270, 350, 80, "agent"),
    "models": (370, 350, 90, "models"),
    "runtimes": (480, 350, 100, "runtimes"),
    "statistics": (600, 350, 100, "statistics"),
    "export": (380, 460, 130, "export"),
    "evaluation": (560, 460, 110, "evaluation"),
    "training": (690, 460, 100, "training"),
    "predictor": (810, 460, 160, "accuracy_predictor"),
    "graph": (260, 525, 100, "graph"),
    "spaces": (140, 525, 100, "space, keys"),
    "families": (380, 525, 100, "families"),
    "elastic": (500, 525, 170, "supernet, elastic"),
    "checkpoints": (690, 525, 110, "checkpoints"),
    "data": (820, 525, 90, "data"),
}
FILES = {  # what is no code: (left, top, text)
    "devices.yaml": (14, 279, "devices.yaml"),
    "device": (14, 354, "the device"),
    "table": (450, 217, "table, meta, journal"),
    "key": (14, 529, "a key: d23422"),
    "answer file": (14, 44, "the answer"),
    "model file": (14, 464, "a model file"),
}
NUMBERS = {1: (126, 275), 2: (126, 356), 3: (472, 160), 4: (126, 524)}
WAYS = {  # colour: corners of each arrow
    "#b91c1c": [  # 1: a device through a profile
        [(112, 291), (140, 291)], [(195, 305), (195, 350)], [(250, 291), (290, 291)],
    ],
    "#1d4ed8": [  # 2: a run's nanoseconds to a row
        [(140, 372), (112, 372)], [(112, 372), (140, 372)],
        [(250, 358), (262, 358), (262, 320), (330, 320), (330, 305)],
        [(420, 291), (560, 291)], [(640, 350), (640, 305)],
        [(600, 275), (600, 260), (520, 260), (520, 240)],
    ],
    "#7c3aed": [  # 3: a table to an answer
        [(455, 215), (455, 135)], [(360, 120), (380, 120)], [(510, 120), (560, 120)],
        [(620, 105), (620, 70)], [(560, 55), (112, 55)],
    ],
    "#047857": [  # 4: a key to a model file
        [(112, 540), (140, 540)], [(240, 540), (260, 540)],
        [(310, 525), (310, 480), (380, 480)], [(745, 525), (745, 505), (450, 505), (450, 490)],
        [(380, 470), (112, 470)], [(415, 460), (415, 380)], [(400, 350), (400, 305)],
    ],
}  # fmt: skip


def main() -> None:
    """Writes the picture beside this script."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'font-family="system-ui, sans-serif" font-size="14" fill="{INK}">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    for colour in WAYS:
        parts.append(
            f'<marker id="m{colour[1:]}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
            f'markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8z" fill="{colour}"/></marker>'
        )
    for name, (top, height, colour) in ROOMS.items():
        parts.append(
            f'<rect x="{125 + MARGIN}" y="{top}" width="{WIDTH - 175}" height="{height}" rx="10" '
            f'fill="{colour}"/><text x="{WIDTH - 28}" y="{top + height - 12}" text-anchor="end" '
            f'font-weight="700">{name}/</text>'
        )
    for at, top, width, text in BOXES.values():
        left = at + MARGIN
        parts.append(
            f'<rect x="{left}" y="{top}" width="{width}" height="30" rx="5" fill="white" '
            f'stroke="{INK}"/><text x="{left + width / 2}" y="{top + 20}" '
            f'text-anchor="middle">{text}</text>'
        )
    for left, top, text in FILES.values():
        parts.append(
            f'<text x="{left}" y="{top + 17}" font-style="italic" font-weight="600">{text}</text>'
        )
    words = (
        "errors, console, files, csv_lines, yaml_lines, entry_points, option_values, scratch, ..."
    )
    parts.append(f'<text x="175" y="645">{words}</text>')
    for number, (colour, arrows) in enumerate(WAYS.items(), 1):
        for corners in arrows:
            points = " ".join(f"{x + MARGIN},{y}" for x, y in corners)
            parts.append(
                f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2.5" '
                f'marker-end="url(#m{colour[1:]})"/>'
            )
        x, y = NUMBERS[number][0] + MARGIN, NUMBERS[number][1]
        parts.append(
            f'<circle cx="{x}" cy="{y}" r="9" fill="{colour}"/><text x="{x}" y="{y + 4}" '
            f'fill="white" text-anchor="middle" font-size="12" font-weight="700">{number}</text>'
        )
    parts.append("</svg>")
    Path(__file__).with_name("architecture.svg").write_text("\n".join(parts) + "\n")


if __name__ == "__main__":
    main()
