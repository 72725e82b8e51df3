"""Queue models: the expected share of cancellations in front of an order."""

QUEUE_MODELS: tuple[str, ...]

def expected_ahead(model: str, ahead: int, behind: int, cancelled: int) -> int:
    """Return how many of the cancelled lots are taken to have stood in front of an order."""
