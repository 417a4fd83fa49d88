"""What a person does with a result, one room for each: run, tune, compare, score, check, derive again, promote.

Its rooms import stations, and of each other only what tests/unit/repository/test_house.py lists.
"""
