"""Writes the results of a search as model files, ready to deploy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from compofa.common.console import note
from compofa.common.errors import UserError, file_error
from compofa.search.answer import Result
from compofa.supernet.export.dtype import Dtype
from compofa.supernet.export.formats import JSON, ONNX, ExportRequest, save, write
from compofa.supernet.export.model_format import ModelFormat
from compofa.supernet.export.source import open_source
from compofa.supernet.graph import build_graph
from compofa.supernet.space import Space


@dataclass(frozen=True)
class Deployment:
    """How results are written as model files.

    Attributes:
        folder: the folder for the files; it is made if it does not exist.
        checkpoint: the file with the trained weights.
        format: the format of the files.
        dtype: the number type in which the models compute.
        calibration: images for calibration; needed only for a quantised dtype.
        data: the data set from which the batch norm statistics of each subnet are computed; None
            to use those in the checkpoint.

    Raises:
        UserError: the format does not support the dtype, or calibration images are missing.
    """

    folder: Path
    checkpoint: Path
    format: ModelFormat = ONNX
    dtype: Dtype = Dtype.FLOAT32
    calibration: Path | None = None
    data: Path | None = None

    def __post_init__(self) -> None:
        # Checked before the search, so that a mistake is reported at once.
        self._request(1)

    def _request(self, batch_size: int) -> ExportRequest:
        return ExportRequest(self.format, self.dtype, batch_size, calibration=self.calibration)

    def write(self, results: Sequence[Result], space: Space) -> tuple[Path, ...]:
        """Writes one file for each subnet, resolution and batch size in `results`.

        Returns:
            The paths of the files.

        Raises:
            UserError: the checkpoint is of another space than the results, a file cannot be
                written, or an error of `formats.write` or `Source.weights`.
        """
        # Opened once for all results, since a checkpoint may have hundreds of megabytes.
        source = open_source(None, self.checkpoint, data=self.data)
        if source.space.units != space.units or source.space.family != space.family:
            raise UserError(
                f"the checkpoint is of space {source.space.name}, but the results are of "
                f"{space.name}",
                path=self.checkpoint,
            )
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise file_error(error, self.folder, "cannot make the folder") from None
        if source.remark is not None and self.format is not JSON:
            note(source.remark)
        paths = []
        for subnet, resolution, batch_size in dict.fromkeys(
            (each.subnet, each.resolution, each.batch_size) for each in results
        ):
            graph = build_graph(source.space, source.space.parse(subnet), resolution)
            request = self._request(batch_size)
            content = write(request, graph, source.weights(graph), source.checkpoint_sha256)
            batch = f"-b{batch_size}" if batch_size > 1 else ""
            name = f"{source.space.name}-{subnet}-r{resolution}{batch}{self.format.suffix}"
            paths.append(self.folder / name)
            save(self.format, paths[-1], content)
        return tuple(paths)
