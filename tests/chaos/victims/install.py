"""`infmap-kit install`: as an export, from a bundle."""

from __future__ import annotations

from chaos.publication import NewRelease


class Install(NewRelease):
    name = "install"
    share = 8

    def prepare(self) -> None:
        self._bundle = self.world.folder / f"{self.folder.name}.bundle"
        self.world.command("bundle", self.world.run, "--output", self._bundle)
        super().prepare()

    def exporting(self) -> tuple[object, ...]:
        return ("install", self._bundle, "--repository", self.repository, "--target", "embedded",
                "--precision", "fp32", "--unsigned", "--report", self.folder / "gate")  # fmt: skip
