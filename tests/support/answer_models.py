"""Models of structured answers."""

from __future__ import annotations

from pydantic import BaseModel, field_validator


class Answer(BaseModel):
    number: int
    unit: str | None = None


class EvenAnswer(Answer):
    @field_validator("number")
    @classmethod
    def is_even(cls, number: int) -> int:
        if number % 2:
            raise ValueError("not even")
        return number
