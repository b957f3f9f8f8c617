"""A kernel of no language whose messages have other topics than those of ipykernel."""

from __future__ import annotations

from typing import Any

from ipykernel.kernelapp import IPKernelApp
from ipykernel.kernelbase import Kernel


class OddKernel(Kernel):
    implementation = "odd"
    implementation_version = "1"
    language_info = {"name": "odd", "mimetype": "text/plain", "file_extension": ".odd"}  # noqa: RUF012 - a trait's value
    banner = "odd"

    def _topic(self, topic: str) -> bytes:
        return f"odd_core.{topic}".encode()

    def do_execute(self, code: str, *args: Any, **options: Any) -> Any:
        for number in range(int(code) if code.isdigit() else 0):
            said = {"name": "stdout", "text": f"{number}\n"}
            self.send_response(self.iopub_socket, "stream", said)  # type: ignore[no-untyped-call]
        return {
            "status": "ok",
            "execution_count": self.execution_count,
            "payload": [],
            "user_expressions": {},
        }


if __name__ == "__main__":
    IPKernelApp.launch_instance(kernel_class=OddKernel)
