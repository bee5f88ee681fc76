"""Media types of files: by the first bytes of their content, else by their name."""

from __future__ import annotations

#: The bytes that a file begins with; https://mimesniff.spec.whatwg.org and the formats'
#: own specifications.
_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"ID3", "audio/mpeg"),
    (b"fLaC", "audio/flac"),
    (b"OggS", "audio/ogg"),
    (b"%PDF-", "application/pdf"),
)
#: The form type of a RIFF file, after its length.
_RIFF_FORMS = {b"WEBP": "image/webp", b"WAVE": "audio/wav"}
#: The brand of an ISO base media file, after its length and `ftyp`.
_BRANDS = {
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"mif1": "image/heif",
    b"avif": "image/avif",
    b"M4A ": "audio/mp4",
}
#: Python's `mimetypes` reads tables of the machine, and requests would differ with it.
_OF_SUFFIX = {
    "pdf": "application/pdf",
    "txt": "text/plain",
    "md": "text/markdown",
    "csv": "text/csv",
    "tsv": "text/tab-separated-values",
    "html": "text/html",
    "xml": "text/xml",
    "json": "application/json",
    "yaml": "application/yaml",
    "py": "text/x-python",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
#: Other names of the same types.
_ALIASES = {
    "image/jpg": "image/jpeg",
    "audio/mp3": "audio/mpeg",
    "audio/x-wav": "audio/wav",
    "audio/wave": "audio/wav",
    "audio/x-m4a": "audio/mp4",
    "audio/m4a": "audio/mp4",
    "application/x-pdf": "application/pdf",
}


def media_type_of(
    content: bytes,
    name: str = "",
) -> str | None:
    """Return the media type of a file, or `None` if neither content nor name tells it.

    >>> media_type_of(b"%PDF-1.7"), media_type_of(b"a,b", "table.csv")
    ('application/pdf', 'text/csv')
    """
    for signature, media_type in _SIGNATURES:
        if content.startswith(signature):
            return media_type
    if content[:4] == b"RIFF":
        return _RIFF_FORMS.get(content[8:12])
    if content[4:8] == b"ftyp":
        return _BRANDS.get(content[8:12])
    # The frames of MPEG audio begin with eleven set bits; layer III.
    if content[:1] == b"\xff" and content[1:2] in (b"\xfb", b"\xf3", b"\xf2"):
        return "audio/mpeg"
    _, dot, suffix = name.rpartition(".")
    return _OF_SUFFIX.get(suffix.lower()) if dot else None


def plain_media_type(media_type: str) -> str:
    """Return a media type without parameters, under its usual name.

    >>> plain_media_type("audio/mp3; rate=8000")
    'audio/mpeg'
    """
    plain = media_type.partition(";")[0].strip().lower()
    return _ALIASES.get(plain, plain)


def suffix_of(media_type: str) -> str:
    """Return the usual suffix of a media type, without its dot.

    >>> suffix_of("image/jpeg"), suffix_of("text/plain")
    ('jpeg', 'txt')
    """
    for suffix, known in _OF_SUFFIX.items():
        if known == media_type:
            return suffix
    return media_type.rpartition("/")[2]
