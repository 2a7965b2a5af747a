"""The orientation of a stored picture, and how to bring it upright and back."""

from __future__ import annotations

import dataclasses
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

_Scalar = TypeVar("_Scalar", bound=np.generic)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Orientation:
    """The turns that make a stored frontal chest upright: head up, the patient's right on the left.

    The turn over the main diagonal comes first, then the mirrors.

    Parameters
    ----------
    transposed
        Rows become columns.
    upside_down, mirrored
        The picture is mirrored top to bottom; left to right.
    """

    transposed: bool = False
    upside_down: bool = False
    mirrored: bool = False

    @classmethod
    def of_patient(cls, rows_run_to: str, columns_run_to: str) -> Self | None:
        """Read Patient Orientation (DICOM PS3.3, C.7.6.1.1.1); ``None`` when it is that of no frontal view.

        Parameters
        ----------
        rows_run_to, columns_run_to
            Directions of a row's and a column's end, such as ``L`` or ``LF``: left, then also foot.
        """
        along, down = rows_run_to[:1], columns_run_to[:1]
        if along in ("L", "R") and down in ("F", "H"):
            return cls(upside_down=down == "H", mirrored=along == "R")
        if along in ("F", "H") and down in ("L", "R"):
            return cls(transposed=True, upside_down=along == "H", mirrored=down == "R")
        return None

    @classmethod
    def of_exif(cls, orientation: int) -> Self:
        """Read the orientation of Exif and TIFF, 1 to 8 (TIFF 6.0, section 8)."""
        turn = (orientation - 1) % 4
        return cls(transposed=orientation > 4, upside_down=turn in (2, 3), mirrored=turn in (1, 2))

    @property
    def is_upright(self) -> bool:
        """Whether nothing has to be done."""
        return not (self.transposed or self.upside_down or self.mirrored)

    def upright(self, stored: NDArray[_Scalar]) -> NDArray[_Scalar]:
        """Bring (rows, columns, ...) as stored upright; a view where nothing has to be done."""
        turned: NDArray[Any] = stored.swapaxes(0, 1) if self.transposed else stored
        return self._copied(self._mirror(turned))

    def as_stored(self, upright: NDArray[_Scalar]) -> NDArray[_Scalar]:
        """Undo :meth:`upright`."""
        turned: NDArray[Any] = self._mirror(upright)
        return self._copied(turned.swapaxes(0, 1) if self.transposed else turned)

    def _mirror(self, picture: NDArray[_Scalar]) -> NDArray[_Scalar]:
        picture = picture[::-1] if self.upside_down else picture
        return picture[:, ::-1] if self.mirrored else picture

    def _copied(self, picture: NDArray[_Scalar]) -> NDArray[_Scalar]:
        return picture if self.is_upright else np.ascontiguousarray(picture)


UPRIGHT = Orientation()
