"""The building-side data collector: polls meters on their buses and keeps every reading until it is durable."""
