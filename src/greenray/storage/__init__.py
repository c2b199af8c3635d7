"""PieceStore and JobStore."""
