"""``python -m infmap_train.cli`` is ``infmap-train``."""

from infmap_train.cli import main

if __name__ == "__main__":
    main()
