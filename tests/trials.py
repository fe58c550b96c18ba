"""Optuna trials as a search would have stored them."""

import optuna
from optuna.trial import FrozenTrial, TrialState


def trial_of(number: int, state: TrialState, curve: list[float], epochs: int) -> FrozenTrial:
    trial = optuna.trial.create_trial(
        state=state,
        values=[curve[-1], 1.0] if state == TrialState.COMPLETE else None,
        user_attrs={"curve": [[e + 1, epochs, top1, {}] for e, top1 in enumerate(curve)]},
    )
    trial.number = number
    return trial
