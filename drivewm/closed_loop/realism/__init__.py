"""How real simulated agents drive: their futures beside recorded ones."""
