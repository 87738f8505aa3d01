"""A stand-in for the ``ipopt`` executable: reads an AMPL .nl file, solves it, writes the .sol file.

It lets the tests run Pyomo's interface to an executable, files and options included, where no executable is installed.
"""

import sys
from pathlib import Path

import casadi
import numpy as np


def main(arguments: list[str]) -> None:
    if "-v" in arguments or "--version" in arguments:
        print("Ipopt 3.14.11 (x86_64-pc-linux-gnu), ASL(20190605)")
        return
    path = Path(arguments[0]).with_suffix(".nl")
    problem = casadi.NlpBuilder()
    problem.import_nl(str(path))
    nlp = {"x": casadi.vertcat(*problem.x), "f": problem.f, "g": casadi.vertcat(*problem.g)}
    options = {"print_time": False, "error_on_fail": False, "ipopt.print_level": 0, "ipopt.sb": "yes"}
    for argument in arguments[1:]:
        name, _, value = argument.partition("=")
        if name in ("tol", "mu_init"):
            options[f"ipopt.{name}"] = float(value)
    solver = casadi.nlpsol("standin", "ipopt", nlp, options)
    found = solver(x0=problem.x_init, lbx=problem.x_lb, ubx=problem.x_ub, lbg=problem.g_lb, ubg=problem.g_ub)
    stats = solver.stats()
    code = 0 if stats["success"] else 200 if "nfeasible" in stats["return_status"] else 400
    x, duals = np.asarray(found["x"]).ravel(), np.asarray(found["lam_g"]).ravel()
    lines = [f"Ipopt 3.14.11: {stats['return_status']}", "", "Options", "3", "1", "1", "0"]
    lines += [str(len(duals)), str(len(duals)), str(len(x)), str(len(x))]
    lines += [repr(float(v)) for v in duals] + [repr(float(v)) for v in x] + [f"objno 0 {code}"]
    path.with_suffix(".sol").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
