"""``python -m aer_eval.tasks`` prints the folder for lm-eval's ``--include_path``."""

from aer_eval.tasks import FOLDER

print(FOLDER)
