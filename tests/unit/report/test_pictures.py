from fixtures.run_folders import write_comparison
from posttrain.report.pictures import write_curves_png


def test_the_picture_is_a_png_and_nothing_else_is_left(tmp_path):
    folder = write_comparison(tmp_path / "compared", ("sft", "uft"), seeds=2, steps=40)
    out = tmp_path / "curves.png"
    assert write_curves_png(folder, out) == out
    assert out.read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["compared", "curves.png"]


def test_a_comparison_without_hints_can_be_drawn(tmp_path):
    folder = write_comparison(tmp_path / "compared", ("sft", "rft"), seeds=1, steps=40)
    assert write_curves_png(folder, tmp_path / "curves.png").stat().st_size > 10_000
