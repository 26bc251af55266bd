"""Quality stages: explicit cuts by score now; classifiers, difficulty, diversity and safety build on the same stages."""

from quality.columns import DropColumns
from quality.embedding import Embed
from quality.keep_where import KeepWhere, evaluate

__all__ = ["DropColumns", "Embed", "KeepWhere", "evaluate"]
