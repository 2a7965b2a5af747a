"""Make the font with the Chinese characters of the translations, after those have changed.

.venv/bin/python scripts/subset_font.py /usr/share/fonts/truetype/droid/DroidSansFallbackFull.ttf

The font is of Debian's package fonts-droid-fallback (Apache-2.0); fonttools comes with matplotlib.
"""

from __future__ import annotations

import sys
from pathlib import Path

from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont

from infmap_kit.results.sheet.lettering import LATIN_FONT, SUBSET_FONT
from infmap_kit.results.words.words import Words, languages


def main(source: str) -> None:
    """Write the font beside the one that has all other letters."""
    letters = {letter for code in languages() for text in Words(code).texts for letter in text}
    letters -= {chr(code) for code in TTFont(LATIN_FONT).getBestCmap()}
    font, options = TTFont(source), Options(hinting=True, notdef_outline=True)
    missing = letters - {chr(code) for code in font.getBestCmap()}
    if missing:
        sys.exit(f"{source} lacks {''.join(sorted(missing))}")
    subset = Subsetter(options)
    subset.populate(text="".join(sorted(letters)))
    subset.subset(font)
    font.save(SUBSET_FONT)
    print(f"{Path(SUBSET_FONT).stat().st_size} bytes, {len(letters)} characters")


if __name__ == "__main__":
    main(sys.argv[1])
