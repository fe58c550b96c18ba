"""The search itself: what is proposed, when a training ends early, when the search stops; no torch."""
