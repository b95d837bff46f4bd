"""Writes tests/golden/evaluate.json: losses and KL divergences that torch finds for tiny models.

    python tools/golden_evaluate.py            # write the file anew
    python tools/golden_evaluate.py --check    # derive all again; exit 1 where one is off by 1e-4

Needs tools/oracle_requirements.txt. Two Llama models of random weights of tests/tiny.py, in
float64: a reference, and one whose weights are mixed with some of another. Losses are torch's
cross entropy, divergences its kl_div over the log-softmax of both.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from golden import transformers_model

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "golden" / "evaluate.json"
sys.path.insert(0, str(ROOT / "tests"))

from tiny import Llama, llama_weights  # noqa: E402
from tiny_mixed import SHARES, mixed_weights  # noqa: E402

N_TOKENS = 48
TOLERANCE = 1e-4


def main() -> int:
    """Writes or checks; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the file, write none")
    check = parser.parse_args().check
    tokens = np.random.default_rng(5).integers(0, 259, N_TOKENS).tolist()
    reference = log_probabilities(llama_weights(Llama(), 0), tokens)
    cases = {str(share): derive(reference, share, tokens) for share in SHARES}
    found = {"tokens": tokens, "cases": cases}
    if not check:
        GOLDEN.write_text(json.dumps(found) + "\n")
        return 0
    kept = json.loads(GOLDEN.read_text())
    differences = [
        f"golden: evaluate: {share}: {name} are others"
        for share, case in cases.items()
        for name, values in case.items()
        if not np.allclose(kept["cases"][share][name], values, rtol=TOLERANCE, atol=TOLERANCE)
    ]
    print("\n".join(differences) or f"golden: {len(cases)} evaluations agree with torch")
    return 1 if differences else 0


def derive(reference: torch.Tensor, share: float, tokens: list[int]) -> dict[str, list[float]]:
    """Losses of model and reference, and divergences, of each token but the first."""
    model = log_probabilities(mixed_weights(share), tokens)
    following = torch.tensor(tokens[1:])
    divergence = functional.kl_div(
        model[:-1], reference[:-1], log_target=True, reduction="none"
    ).sum(dim=1)
    return {
        "losses": functional.nll_loss(model[:-1], following, reduction="none").tolist(),
        "reference_losses": functional.nll_loss(
            reference[:-1], following, reduction="none"
        ).tolist(),
        "divergence": divergence.tolist(),
    }


def log_probabilities(weights: dict[str, np.ndarray], tokens: list[int]) -> torch.Tensor:
    """(T, V) float64."""
    model = transformers_model(Llama(), weights).double().eval()
    with torch.no_grad():
        logits = model(torch.tensor([tokens])).logits[0]
    return functional.log_softmax(logits.double(), dim=1)


if __name__ == "__main__":
    sys.exit(main())
