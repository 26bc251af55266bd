"""Names in the picture: formulas, underscores and control characters are text like any other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from quality.diversity_report.drawing import DiversityOptions, Drawing, Sample
from quality.diversity_report.picture import draw_figure, write_picture

NAMES = [r"$$\x$$", "$a$", "_hidden", r"\frac{", "a\nb", "{curly}", "%s", "<b>", "源", "长" * 300]


def drawing(title: str) -> Drawing:
    table = pa.table({"id": NAMES, "text": NAMES, "source": NAMES})
    sample = Sample(title, len(NAMES), table, np.eye(len(NAMES), dtype=np.float32), np.arange(len(NAMES)))
    places = np.random.default_rng(0).random((len(NAMES), 2)).astype(np.float32)
    return Drawing(
        samples=[sample],
        places=[places],
        centroids=np.eye(len(NAMES), dtype=np.float32),
        topics=NAMES,
        distances=[np.linspace(0, 1, len(NAMES), dtype=np.float32)],
        metrics={},
        embedding="tfidf",
    )


def test_names_are_drawn_as_they_are(tmp_path: Path) -> None:
    for title in NAMES[:4]:
        drawn = drawing(title)
        write_picture(drawn, tmp_path / "picture.png", DiversityOptions(colour=("source",)))
        figure = draw_figure(drawn, "source")
        shown = [text.get_text() for text in figure.legends[0].get_texts()]
        assert sorted(shown) == sorted(name[:40] for name in NAMES)
        assert figure.axes[0].get_title().startswith(title)
