import pytest

from matrixci.errors import SubjectError
from matrixci.matrix.subject_kind import SubjectKind, subject_kind


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
def test_the_kind_follows_from_the_spelling(text: str, kind: SubjectKind) -> None:
    assert subject_kind(text) is kind
    assert subject_kind(f" {text} ") is kind


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty subject"),
        ("  ", "empty subject"),
        ("a\nb", "empty subject"),
        ("ftp://host.example/a", "unsupported URL"),
        ("https://", "unsupported URL"),
        ("git+https:///", "unsupported URL"),
        ("git+ftp://host.example/a", "unsupported URL"),
        ("hg+https://host.example/a", "unsupported URL"),
        ("https://host.example/a b", "unsupported URL"),
        ("a==", "invalid requirement"),
        ("a b", "invalid requirement"),
        ("-e x", "invalid requirement"),
    ],
)
def test_an_invalid_subject_is_reported(text: str, message: str) -> None:
    with pytest.raises(SubjectError, match=f"^{message}"):
        subject_kind(text)
