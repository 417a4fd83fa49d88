"""Customers of a telephone company: one wide CSV a month with names and texts of its own, as other people have them.

`python tests/support/telephone.py FOLDER [ROWS]` writes FOLDER/2024-01-31.csv and FOLDER/2024-02-29.csv.
"""

import csv
import sys
from pathlib import Path

import numpy as np

MONTHS = ("2024-01-31", "2024-02-29")
HEADER = (
    "customerID", "gender", "SeniorCitizen", "Partner", "Dependents", "tenure", "PhoneService", "MultipleLines",
    "InternetService", "OnlineSecurity", "StreamingTV", "StreamingMovies", "Contract", "PaperlessBilling", "PaymentMethod",
    "MonthlyCharges", "TotalCharges", "Churn",
)  # fmt: skip
NO_INTERNET = "No internet service"


def customers(rows: int, month: int, seed: int = 7) -> list[dict[str, str]]:
    """The customers after `month` months, in the order of their numbers; TotalCharges of the newest is a blank."""
    draw = np.random.Generator(np.random.PCG64([seed, rows]))
    return [
        _customer(number, draw, np.random.Generator(np.random.PCG64([seed, number, month])), month)
        for number in range(rows)
    ]


def _customer(number: int, draw: np.random.Generator, now: np.random.Generator, month: int) -> dict[str, str]:
    def yes(share: float) -> str:
        return "Yes" if draw.random() < share else "No"

    joined = int(draw.integers(0, 72))
    tenure = joined + month
    internet = str(draw.choice(["DSL", "Fiber optic", "No"], p=[0.34, 0.44, 0.22]))
    contract = str(draw.choice(["Month-to-month", "One year", "Two year"], p=[0.55, 0.21, 0.24]))
    phone = yes(0.9)
    extras = [yes(0.4) if internet != "No" else NO_INTERNET for _ in range(3)]
    fee = round(20 + 25 * (internet != "No") + 25 * (internet == "Fiber optic") + 10 * extras.count("Yes"), 2)
    risk = -1.6 + 1.4 * (contract == "Month-to-month") + 0.8 * (internet == "Fiber optic") - 0.03 * tenure
    leaves = now.random() < 1 / (1 + 2.718281828**-risk)
    return {
        "customerID": f"{number:05d}-TEL",
        "gender": str(draw.choice(["Female", "Male"])),
        "SeniorCitizen": "1" if draw.random() < 0.16 else "0",
        "Partner": yes(0.48),
        "Dependents": yes(0.3),
        "tenure": str(tenure),
        "PhoneService": phone,
        "MultipleLines": yes(0.4) if phone == "Yes" else "No phone service",
        "InternetService": internet,
        "OnlineSecurity": extras[0],
        "StreamingTV": extras[1],
        "StreamingMovies": extras[2],
        "Contract": contract,
        "PaperlessBilling": yes(0.6),
        "PaymentMethod": str(draw.choice(["Electronic check", "Mailed check", "Credit card (automatic)"])),
        "MonthlyCharges": f"{fee:.2f}",
        "TotalCharges": f"{fee * tenure:.2f}" if tenure else " ",
        "Churn": "Yes" if leaves else "No",
    }


def write_telephone(folder: Path, rows: int = 7000) -> None:
    """Write the files of both months."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, month in enumerate(MONTHS):
        with (folder / f"{month}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, HEADER, lineterminator="\n")
            writer.writeheader()
            writer.writerows(customers(rows, number))


if __name__ == "__main__":
    write_telephone(Path(sys.argv[1]), int(sys.argv[2]) if sys.argv[2:] else 7000)
