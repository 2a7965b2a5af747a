"""A PACS that answers each C-STORE as a test likes."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

from infmap_kit.serving.server import free_port


class MoodyPacs:
    """Answers each C-STORE as the test likes."""

    def __init__(self, *, certificate: Path | None = None, authority: Path | None = None) -> None:
        from pynetdicom import AE, StoragePresentationContexts, evt

        tls = None
        if certificate is not None:
            tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority)
            tls.load_cert_chain(certificate)
            tls.verify_mode = ssl.CERT_REQUIRED
        self.status = 0x0000
        self.stored: list[str] = []
        self.port = free_port()
        entity = AE(ae_title="MOODY")
        entity.supported_contexts = StoragePresentationContexts
        self.server = entity.start_server(
            ("127.0.0.1", self.port), block=False, ssl_context=tls,
            evt_handlers=[(evt.EVT_C_STORE, self._answer)],
        )  # fmt: skip

    def _answer(self, event: Any) -> int:
        if self.status < 0xA700 or self.status >> 12 == 0xB:
            self.stored.append(str(event.request.AffectedSOPInstanceUID))
        return self.status

    @property
    def destination(self) -> str:
        return (
            '[[destinations]]\nname = "moody"\nkind = "c-store"\nhost = "127.0.0.1"\n'
            f'port = {self.port}\nae_title = "MOODY"\nmax_wait_s = 0.2\nmax_refusals = 3\n'
        )
