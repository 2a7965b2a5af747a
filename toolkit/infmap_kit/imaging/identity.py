"""Speaking of a radiograph without saying whose it is."""

from __future__ import annotations

import hashlib
import hmac
import os

UID_KEY = "INFMAP_UID_KEY"
"""Environment variable with a secret for :func:`hashed_uid`."""


def hashed_uid(uid: str, *, key: str | None = None) -> str:
    """Stand-in for a UID: always the same one, that cannot be turned back.

    Whoever holds the UID can make the same stand-in, and so find the picture again: a hospital its own,
    but anyone else as well who has a list of UIDs. With a key, an HMAC, only who has the key can.

    Parameters
    ----------
    uid
        A DICOM UID.
    key
        Secret; the environment's ``INFMAP_UID_KEY`` when not given, none when that is empty.

    Returns
    -------
    str
        ``sha256:`` or ``hmac-sha256:`` and 32 hexadecimal digits.
    """
    secret = os.environ.get(UID_KEY, "") if key is None else key
    if secret:
        return f"hmac-sha256:{hmac.new(secret.encode(), uid.encode(), 'sha256').hexdigest()[:32]}"
    return f"sha256:{hashlib.sha256(uid.encode()).hexdigest()[:32]}"


def shown_uids(header: object, *, identify: bool) -> dict[str, str]:
    """Study, series and instance UID of a DICOM header, hashed unless they may be shown.

    Parameters
    ----------
    header
        A data set; UIDs that it lacks are left out.
    identify
        Whether the UIDs themselves may be shown.
    """
    shown = {}
    for name in ("study", "series", "instance"):
        keyword = {"instance": "SOPInstanceUID"}.get(name, f"{name.capitalize()}InstanceUID")
        uid = str(getattr(header, keyword, None) or "")
        if uid:
            shown[name] = uid if identify else hashed_uid(uid)
    return shown
