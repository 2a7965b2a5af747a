"""``python -m infmap_kit`` is ``infmap-kit``."""

from infmap_kit.cli import main

if __name__ == "__main__":
    main()
