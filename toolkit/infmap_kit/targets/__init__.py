"""The targets that engines are made for."""
