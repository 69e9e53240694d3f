from pathlib import Path

from factories import a_cell, a_run

from matrixci.engine.image_references import (
    Reference,
    WorkDirId,
    cell_in_tag,
    matrix_id,
    reference,
    references,
)

HERE = WorkDirId.of(Path("/projects/one/.matrixci"))
KEY = "a" * 20


def test_reference_is_parsed_as_written() -> None:
    run = a_run([a_cell()])
    for green in (False, True):
        made = reference(HERE, run, "py3.12-a", f"matrixci/cell:{KEY}", green=green)
        assert references([made.tag, "matrixci/cell:1", "x:y"]) == {made.tag: made}


def test_work_directories_of_the_same_name_are_distinct() -> None:
    one, two = WorkDirId.of(Path("/a/My Project!/.matrixci")), WorkDirId.of(Path("/b/My Project!"))
    assert one.name == two.name == "my-project"
    assert one.repository != two.repository
    assert WorkDirId.of(Path("/")).name == "folder"


def test_every_cell_id_has_its_own_tag() -> None:
    ids = ["py3.12-cpu", "py3.12+cpu", "py3.12-é", ".hidden", "x" * 100, "x" * 101]
    tags = [cell_in_tag(each) for each in ids]
    assert tags[0] == ids[0]
    assert len(set(tags)) == len(ids)
    for each in tags:
        made = Reference(
            repository=HERE.repository, matrix="0123abcd", cell=each, key=KEY, green=True
        )
        tag = made.tag
        assert len(tag.rpartition(":")[2]) <= 128
        assert references([tag])[tag].cell == each


def test_matrix_id_depends_on_the_file_name_and_not_on_its_content() -> None:
    run = a_run([a_cell()], command=("matrix",))
    edited = a_run([a_cell()], command=("matrix", "--fresh"), matrix_digest="other")
    other = a_run([a_cell()], command=("matrix", "--matrix", "nightly.yaml"))
    assert matrix_id(run) == matrix_id(edited) != matrix_id(other)
