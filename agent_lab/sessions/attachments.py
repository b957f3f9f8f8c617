"""What may be attached to a prompt. Pure."""

from __future__ import annotations

import binascii
from collections.abc import Iterable, Mapping

from agent_lab.protocol.errors import Invalid, TooLarge
from agent_lab.protocol.events import ContentBlock, ImageBlock

MAX_IMAGE_BYTES = 5 << 20

_BEGINNINGS: Mapping[str, tuple[bytes, ...]] = {
    "image/png": (b"\x89PNG\r\n\x1a\n",),
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/gif": (b"GIF87a", b"GIF89a"),
    "image/webp": (b"RIFF",),
}


def check(content: Iterable[ContentBlock]) -> None:
    """Raises Invalid or TooLarge, with a sentence, for an image that agents do not take."""
    for block in content:
        if isinstance(block, ImageBlock):
            _check_image(block)


def _check_image(image: ImageBlock) -> None:
    beginnings = _BEGINNINGS.get(image.mime_type)
    if beginnings is None:
        raise Invalid(
            f"Images of type {image.mime_type[:50]!r} cannot be sent. Send PNG, JPEG, GIF or WebP."
        )
    if len(image.data) > (MAX_IMAGE_BYTES * 4) // 3 + 4:
        raise TooLarge("An image is larger than 5 MB. Send a smaller one.")
    try:
        data = binascii.a2b_base64(image.data, strict_mode=True)
    except (binascii.Error, ValueError):
        raise Invalid("An image is not proper base64.") from None
    is_webp = image.mime_type != "image/webp" or data[8:12] == b"WEBP"
    if not data.startswith(beginnings) or not is_webp:
        raise Invalid(f"An image is not the {image.mime_type} that it says it is.")
