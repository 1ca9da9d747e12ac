"""Tests of the engine, as statements of mathematics and behaviour."""
