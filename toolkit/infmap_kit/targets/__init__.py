"""What engines are made for."""
