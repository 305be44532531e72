"""Checks of a subscription of Azure."""
