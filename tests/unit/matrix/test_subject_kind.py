import pytest

from matrixci.errors import SubjectError
from matrixci.matrix.definition import SubjectKind, subject_kind


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("transformers", SubjectKind.REQUIREMENT),
        ("transformers[torch]>=5,<6; python_version > '3.10'", SubjectKind.REQUIREMENT),
        ("transformers @ https://host.example/a.whl", SubjectKind.REQUIREMENT),
        ("transformers@git+https://host.example/a", SubjectKind.REQUIREMENT),
        ("a-1.0-py3-none-any.whl", SubjectKind.PATH),
        ("dist/a-1.0.tar.gz", SubjectKind.PATH),
        ("a-1.0.zip", SubjectKind.PATH),
        (".", SubjectKind.PATH),
        ("..", SubjectKind.PATH),
        ("./transformers", SubjectKind.PATH),
        ("src/transformers/", SubjectKind.PATH),
        ("~/transformers", SubjectKind.PATH),
        ("/srv/a b", SubjectKind.PATH),
        ("https://host.example/a.whl", SubjectKind.URL),
        ("file:///srv/a.whl", SubjectKind.URL),
        ("git+https://me:pw@host.example/a/b@main#subdirectory=c", SubjectKind.URL),
        ("git+ssh://git@host.example/a/b", SubjectKind.URL),
    ],
)
def test_a_subject_is_judged_by_its_shape(text: str, kind: SubjectKind) -> None:
    assert subject_kind(text) is kind
    assert subject_kind(f" {text} ") is kind


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no subject"),
        ("  ", "no subject"),
        ("a\nb", "no subject"),
        ("ftp://host.example/a", "not a URL that can be read"),
        ("https://", "not a URL that can be read"),
        ("git+https:///", "not a URL that can be read"),
        ("git+ftp://host.example/a", "not a URL that can be read"),
        ("hg+https://host.example/a", "not a URL that can be read"),
        ("https://host.example/a b", "not a URL that can be read"),
        ("a==", "not a requirement"),
        ("a b", "not a requirement"),
        ("-e x", "not a requirement"),
    ],
)
def test_what_is_no_subject_is_told(text: str, told: str) -> None:
    with pytest.raises(SubjectError, match=f"^{told}"):
        subject_kind(text)
