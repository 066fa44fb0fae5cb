"""What may be uploaded: the kinds of files, told by their first bytes, and PDFs without anything that acts
by itself."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from io import BytesIO
from pathlib import PurePosixPath
from typing import BinaryIO

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.misc import PdfError
from pyhanko.pdf_utils.reader import PdfFileReader

from apps.site.errors import SiteError
from apps.site.formats import size as size_text
from apps.site.text import Text

MAX_FILE_BYTES = 32 * 1024 * 1024
MAX_FILES = 20
_MAX_PDF_OBJECTS = 200_000

_MAGIC: tuple[tuple[str, bytes, str], ...] = (
    (".pdf", b"%PDF-", "application/pdf"),
    (".jpg", b"\xff\xd8\xff", "image/jpeg"),
    (".jpeg", b"\xff\xd8\xff", "image/jpeg"),
    (".png", b"\x89PNG\r\n\x1a\n", "image/png"),
    (".ofd", b"PK\x03\x04", "application/ofd"),
)
# /OpenAction and /AA are judged by the actions they lead to: a page to open at is harmless.
_ACTIVE_KEYS = frozenset({"/JS", "/JavaScript", "/XFA", "/RichMedia", "/EmbeddedFiles", "/EF"})
_ACTIVE_ACTIONS = frozenset(
    {
        "/JavaScript",
        "/Launch",
        "/ImportData",
        "/SubmitForm",
        "/GoToR",
        "/GoToE",
        "/Rendition",
        "/RichMediaExecute",
    }
)


@dataclass(frozen=True, slots=True)
class Upload:
    """A file as it came from the browser; `content` is read from its start."""

    name: str
    content: BinaryIO


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """An upload that may be sent: its clean name and its media type."""

    name: str
    media_type: str
    content: BinaryIO


def check_upload(upload: Upload) -> CheckedFile:
    """Raises SiteError correction.file_name, .file_too_large, .file_kind, .file_empty, .pdf_active,
    .pdf_unreadable."""
    name = clean_name(upload.name)
    content = upload.content
    length = content.seek(0, 2)
    content.seek(0)
    if length == 0:
        raise SiteError(
            "correction.file_empty",
            Text(f"文件“{name}”是空的。", f"The file “{name}” is empty."),
            Text("请重新选择文件。", "Choose the file again."),
        )
    if length > MAX_FILE_BYTES:
        raise SiteError(
            "correction.file_too_large",
            Text(
                f"文件“{name}”有 {size_text(length)}，太大。",
                f"“{name}” has {size_text(length)}: too large.",
            ),
            Text(
                f"每个文件不超过 {size_text(MAX_FILE_BYTES)}；请压缩或拆分。",
                f"At most {size_text(MAX_FILE_BYTES)} each; compress or split it.",
            ),
            status=413,
            got=length,
            expected=MAX_FILE_BYTES,
        )
    media_type = _media_type(name, content)
    if media_type == "application/pdf":
        _refuse_active_pdf(name, content.read())
        content.seek(0)
    return CheckedFile(name, media_type, content)


def clean_name(name: str) -> str:
    """The last part of a file name, without control characters. SiteError correction.file_name."""
    last = PurePosixPath(unicodedata.normalize("NFC", name).replace("\\", "/")).name
    plain = "".join(c for c in last if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp")).strip()
    if not plain or plain in (".", "..") or len(plain.encode()) > 200:
        raise SiteError(
            "correction.file_name",
            Text("文件名为空或太长。", "The file's name is empty or too long."),
            Text("请改名后重新选择，不超过 60 个汉字。", "Rename it and choose it again."),
        )
    return plain


def _media_type(name: str, content: BinaryIO) -> str:
    head = content.read(1024)
    content.seek(0)
    suffix = PurePosixPath(name).suffix.lower()
    for known, magic, media_type in _MAGIC:
        if suffix == known and head.startswith(magic):
            return media_type
    if suffix == ".txt" and b"\0" not in head:
        return "text/plain"
    raise SiteError(
        "correction.file_kind",
        Text(
            f"文件“{name}”的种类不能发送，或内容与扩展名不符。",
            f"“{name}” is not a kind of file that can be sent.",
        ),
        Text("可以发送：PDF、OFD、JPG、PNG、TXT。", "Allowed: PDF, OFD, JPG, PNG, TXT."),
        got=suffix,
    )


def _refuse_active_pdf(name: str, raw: bytes) -> None:
    """Look at every object of the PDF, in object streams too, for scripts, actions and embedded files."""
    try:
        reader = PdfFileReader(BytesIO(raw), strict=False)
        if reader.encrypted:
            raise _pdf_unreadable(name)
        found = _active_content(reader)
    except (PdfError, ValueError, KeyError, TypeError, IndexError, RecursionError, OSError) as error:
        raise _pdf_unreadable(name) from error
    if found is not None:
        raise SiteError(
            "correction.pdf_active",
            Text(
                f"“{name}”含有脚本或自动动作（{found}），不能发送。",
                f"“{name}” holds a script or an action ({found}).",
            ),
            Text("请用“打印为 PDF”重新生成后上传。", "Print it to a new PDF and upload that."),
            got=found,
        )


def _pdf_unreadable(name: str) -> SiteError:
    return SiteError(
        "correction.pdf_unreadable",
        Text(f"“{name}”不是完好的 PDF，或设有密码。", f"“{name}” is not a sound PDF, or has a password."),
        Text("请用“打印为 PDF”重新生成后上传。", "Print it to a new PDF and upload that."),
    )


def _active_content(reader: PdfFileReader) -> str | None:
    waiting: list[object] = [reader.trailer_view]
    seen: set[tuple[int, int]] = set()
    while waiting:
        item = waiting.pop()
        if isinstance(item, generic.IndirectObject):
            reference = (item.idnum, item.generation)
            if reference in seen:
                continue
            seen.add(reference)
            if len(seen) > _MAX_PDF_OBJECTS:
                raise ValueError("too many objects")
            item = reader.get_object(item.reference)  # type: ignore[no-untyped-call]
        if isinstance(item, generic.DictionaryObject):
            active = _ACTIVE_KEYS & {str(key) for key in item}
            if active:
                return sorted(active)[0]
            action = item.raw_get("/S") if "/S" in item else None
            if isinstance(action, generic.NameObject) and str(action) in _ACTIVE_ACTIONS:
                return str(action)
            waiting.extend(item.raw_get(key) for key in item)
        elif isinstance(item, generic.ArrayObject):
            waiting.extend(list.__iter__(item))
    return None
