"""Recipes and search spaces: YAML files only, each a worked example to copy and change."""
