"""The boxes task: a small world, its operations, and both in words.

Source: Kim and Schuster, "Entity Tracking in Language Models" (ACL 2023).
"""
