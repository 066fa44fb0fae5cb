"""What may be uploaded: real PDFs made with real PDF libraries, harmless and not."""

from __future__ import annotations

from io import BytesIO

import pytest
from fpdf import FPDF
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

from apps.community_correction.files import MAX_FILE_BYTES, Upload, check_upload
from apps.site.errors import SiteError


def make_pdf(pages: int = 2) -> bytes:
    pdf = FPDF()
    pdf.set_font("helvetica", size=12)
    for page in range(pages):
        pdf.add_page()
        pdf.cell(text=f"page {page}")
    return bytes(pdf.output())


def with_object(build: str, value: generic.PdfObject) -> bytes:
    """A PDF whose catalogue got one more entry, appended as an incremental update."""
    writer = IncrementalPdfFileWriter(BytesIO(make_pdf()))
    writer.root[generic.NameObject(build)] = writer.add_object(value)
    writer.update_root()
    out = BytesIO()
    writer.write(out)
    return out.getvalue()


def action(kind: str) -> generic.DictionaryObject:
    name = generic.NameObject
    return generic.DictionaryObject({name("/S"): name(kind), name("/F"): generic.pdf_string("x")})


def check(name: str, content: bytes) -> str:
    return check_upload(Upload(name, BytesIO(content))).media_type


def refusal(name: str, content: bytes) -> str:
    with pytest.raises(SiteError) as refused:
        check(name, content)
    assert refused.value.next_step.zh
    return refused.value.code


def test_a_plain_pdf_is_taken_and_its_content_left_whole() -> None:
    content = make_pdf()
    taken = check_upload(Upload("C:\\文书\\判决书.pdf", BytesIO(content)))
    assert (taken.name, taken.media_type) == ("判决书.pdf", "application/pdf")
    assert taken.content.read() == content


@pytest.mark.parametrize("kind", ["/JavaScript", "/Launch", "/SubmitForm", "/GoToR", "/ImportData"])
def test_a_pdf_that_acts_when_opened_is_refused(kind: str) -> None:
    assert refusal("a.pdf", with_object("/OpenAction", action(kind))) == "correction.pdf_active"


def test_a_script_deep_inside_is_found() -> None:
    name = generic.NameObject
    deep: generic.PdfObject = generic.DictionaryObject({name("/JS"): generic.pdf_string("app.alert(1)")})
    for _ in range(20):
        deep = generic.ArrayObject([generic.DictionaryObject({name("/Kids"): generic.ArrayObject([deep])})])
    assert refusal("a.pdf", with_object("/Names", deep)) == "correction.pdf_active"


def test_a_pdf_with_a_file_inside_is_refused() -> None:
    pdf = FPDF()
    pdf.add_page()
    pdf.embed_file(bytes=b"MZ", basename="tool.exe")
    assert refusal("a.pdf", bytes(pdf.output())) == "correction.pdf_active"


def test_a_pdf_with_a_password_is_refused() -> None:
    pdf = FPDF()
    pdf.add_page()
    pdf.set_encryption(owner_password="owner", user_password="user")
    assert refusal("a.pdf", bytes(pdf.output())) == "correction.pdf_unreadable"


@pytest.mark.parametrize("cut", [9, 200, 500])
def test_a_pdf_that_is_cut_off_is_refused(cut: int) -> None:
    assert refusal("a.pdf", make_pdf()[:cut]) == "correction.pdf_unreadable"


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("a.exe", b"MZ", "correction.file_kind"),
        ("a.pdf", b"MZ", "correction.file_kind"),
        ("a.txt", b"a\0b", "correction.file_kind"),
        ("a.pdf.js", b"%PDF-1.7", "correction.file_kind"),
        ("a.txt", b"", "correction.file_empty"),
        ("..", b"x", "correction.file_name"),
        ("\n", b"x", "correction.file_name"),
        ("长" * 100 + ".txt", b"x", "correction.file_name"),
    ],
)
def test_other_files_are_refused_by_name_and_first_bytes(name: str, content: bytes, code: str) -> None:
    assert refusal(name, content) == code


def test_a_file_above_the_limit_is_refused() -> None:
    assert refusal("a.txt", b"x" * (MAX_FILE_BYTES + 1)) == "correction.file_too_large"


def test_characters_that_turn_the_reading_direction_are_taken_out_of_names() -> None:
    assert check_upload(Upload("a\u202efdp.txt", BytesIO(b"x"))).name == "afdp.txt"


def test_pictures_and_texts_are_taken() -> None:
    assert check("a.png", b"\x89PNG\r\n\x1a\n...") == "image/png"
    assert check("a.txt", "回执".encode()) == "text/plain"
