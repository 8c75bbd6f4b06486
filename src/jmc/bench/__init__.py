"""Measuring: what a figure about speed must rest on."""
