#!/usr/bin/env python3
# Copyright The Understudy Authors.
# SPDX-License-Identifier: Apache-2.0
"""A provider in Python, from the published protocol alone.

It serves the type "note": a file with a text, which exists while the resource is online.

  path               the file
  text               what is in it
  startMilliseconds  how long Online is pending; 0 is not at all

provider_pb2.py comes from api/provider/v1/provider.proto, see README.md.
"""

import json
import os
import queue
import signal
import sys
import threading
from concurrent import futures

import grpc
import provider_pb2 as pb

# Codes of the contract.
SUCCESS, INVALID_FUNCTION, INVALID_DATA, INVALID_PARAMETER = 0, 1, 13, 87
MORE_DATA, IO_PENDING, REVISION_MISMATCH = 234, 997, 1306
NOT_FOUND, SHUTTING_DOWN, INVALID_STATE, FAILED = 5007, 5022, 5023, 5038
UNKNOWN_TYPE, SYSTEM_RESOURCES = 5080, 5956

TYPE = "note"
READ = 0x01800005  # answers the text at once
COUNT = 0x01800009  # counts to input.to, which takes a while, and answers by EndControlCall
OPEN_NOTES = 0x02800005  # of the type: how many resources are open

MAX_BUFFER = 64 << 10
VERSIONS = (0x400, 0x300)
STOP = (signal.SIGTERM, signal.SIGINT)


def serve_method(service, name, function):
    """A method handler made of the descriptors: no generated service is needed."""
    method = service.methods_by_name[name]
    request, response = getattr(pb, method.input_type.name), getattr(pb, method.output_type.name)
    return grpc.unary_unary_rpc_method_handler(
        function, request_deserializer=request.FromString, response_serializer=response.SerializeToString)


def short(message):
    """A sentence for people: at most 1 024 bytes."""
    return message.encode(errors="replace")[:1024].decode(errors="ignore")


class Monitor:
    """The callbacks: one after the other, each until a monitor answers it."""

    def __init__(self, socket):
        self.channel = grpc.insecure_channel("unix:" + socket, options=[
            ("grpc.initial_reconnect_backoff_ms", 20), ("grpc.min_reconnect_backoff_ms", 20),
            ("grpc.max_reconnect_backoff_ms", 100)])
        self.calls = {}
        for method in pb.DESCRIPTOR.services_by_name["MonitorService"].methods:
            if method.name in ("Report", "EnumResources"):
                continue  # streams, which this provider has no use for
            self.calls[method.name] = self.channel.unary_unary(
                f"/{method.containing_service.full_name}/{method.name}",
                request_serializer=getattr(pb, method.input_type.name).SerializeToString,
                response_deserializer=getattr(pb, method.output_type.name).FromString)

    def call(self, name, request, wanted=lambda: True):
        """Make a callback until it is answered, or not wanted any more; None then."""
        while wanted():
            try:
                return self.calls[name](request, timeout=2, wait_for_ready=True)
            except grpc.RpcError as error:
                again = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED,
                         grpc.StatusCode.CANCELLED)
                if error.code() not in again:
                    print(f"{name}: {error.details()}", file=sys.stderr)
                    return None
                stopped.wait(0.02)
        return None


class Note:
    """One resource. Its lock is held for moments only, never while something is waited for."""

    def __init__(self, request):
        self.handle, self.name = request.resource_handle, request.resource_name
        self.lock = threading.Lock()
        self.stopping = threading.Lock()  # one Terminate at a time
        self.controls = {}
        self.checkpoint, self.epoch = 0, 0
        self.worker, self.cancel = None, threading.Event()
        self.read(request.properties)
        # A file outlives its provider.
        self.state = pb.RESOURCE_STATE_ONLINE if self.there() else pb.RESOURCE_STATE_OFFLINE
        self.reports = queue.Queue(maxsize=128)
        threading.Thread(target=self.deliver, daemon=True).start()

    def read(self, properties):
        def value(name, default):
            return properties.fields[name] if name in properties.fields else default
        self.path = getattr(value("path", None), "string_value", "")
        self.text = getattr(value("text", None), "string_value", "")
        self.start = getattr(value("startMilliseconds", None), "number_value", 0) / 1000

    # The effect in the world.

    def there(self):
        try:
            with open(self.path, encoding="utf-8") as file:
                return file.read() == self.text
        except OSError:
            return False

    def write(self):
        whole = self.path + ".new"
        with open(whole, "w", encoding="utf-8") as file:
            file.write(self.text)
        os.rename(whole, self.path)

    def remove(self):
        for path in (self.path + ".new", self.path):
            try:
                os.remove(path)
            except FileNotFoundError:
                pass

    # Reports, in their order.

    def report(self, name, request, cancel=None):
        """Queue a callback; one about an operation goes with that, which cancel ends."""
        try:
            self.reports.put_nowait((name, request, cancel))
        except queue.Full:
            print(f"{self.name}: too many reports wait for a monitor", file=sys.stderr)

    def deliver(self):
        while True:
            item = self.reports.get()
            if item is None:
                return
            name, request, cancel = item
            answer = monitor.call(name, request, lambda: not (cancel and cancel.is_set()))
            if name == "SetResourceStatusEx" and answer and answer.exit_state == pb.RESOURCE_EXIT_STATE_TERMINATE:
                cancel.set()

    def status(self, state, cancel, code=0, message=""):
        self.checkpoint += 1
        status = pb.ResourceStatusEx(
            resource_state=state, check_point=self.checkpoint, application_specific_error_code=code,
            event_handle=state == pb.RESOURCE_STATE_ONLINE, message=short(message))
        self.report("SetResourceStatusEx", pb.SetResourceStatusExRequest(
            resource_handle=self.handle, resource_status=status), cancel)

    def log(self, level, text):
        self.report("LogEvent", pb.LogEventRequest(resource_handle=self.handle, log_level=level, message=text[:500]))

    # Entry points.

    def online(self, request, answered):
        with self.lock:
            if self.state == pb.RESOURCE_STATE_ONLINE_PENDING and request.epoch == self.epoch:
                return IO_PENDING, ""  # a repetition goes on where it was left off
            if self.worker or self.stopping.locked():
                return None, "another state-changing call is under way"
            if self.state == pb.RESOURCE_STATE_ONLINE:
                if request.epoch == self.epoch:
                    return SUCCESS, ""
                return INVALID_STATE, f"online under epoch {self.epoch} already: terminate it first"
            self.read(request.properties)
            if not self.path:
                return INVALID_DATA, "properties.path: name a file"
            self.epoch, self.checkpoint = request.epoch, 0
            self.cancel = threading.Event()
            if self.start <= 0:
                try:
                    self.write()
                except OSError as error:
                    self.state = pb.RESOURCE_STATE_FAILED
                    return FAILED, str(error)
                self.state = pb.RESOURCE_STATE_ONLINE
                self.log(pb.LOG_LEVEL_INFORMATION, f"{self.path} is written")
                self.watch(self.cancel)
                return SUCCESS, ""
            self.state = pb.RESOURCE_STATE_ONLINE_PENDING
            self.worker = threading.Thread(target=self.come_online, args=(self.cancel, answered), daemon=True)
            self.worker.start()
            return IO_PENDING, ""

    def come_online(self, cancel, answered):
        """The worker of a pending Online: no report may overtake the answer to it."""
        answered.wait(2)
        steps = max(1, round(self.start / 0.05))
        for _ in range(steps):
            if cancel.wait(self.start / steps):
                break
            with self.lock:
                if not cancel.is_set():
                    self.status(pb.RESOURCE_STATE_ONLINE_PENDING, cancel)
        with self.lock:
            if not cancel.is_set():
                try:
                    self.write()
                    self.state = pb.RESOURCE_STATE_ONLINE
                    self.status(self.state, cancel)
                    self.watch(cancel)
                except OSError as error:
                    self.state = pb.RESOURCE_STATE_FAILED
                    self.status(self.state, cancel, error.errno or FAILED, str(error))
            elif self.state == pb.RESOURCE_STATE_ONLINE_PENDING:
                self.state = pb.RESOURCE_STATE_FAILED  # until Terminate has cleaned up
            self.worker = None

    def watch(self, cancel):
        """Signal a failure as soon as the file is gone: that is what event_handle promises."""
        def look():
            while not cancel.wait(0.05):
                if self.there():
                    continue
                with self.lock:
                    if cancel.is_set() or self.state != pb.RESOURCE_STATE_ONLINE:
                        return
                    self.state = pb.RESOURCE_STATE_FAILED
                self.report("SignalFailure", pb.SignalFailureRequest(
                    resource_handle=self.handle, failure_type=pb.FAILURE_TYPE_GENERAL, exited=True,
                    message=short(f"{self.path} is gone, or has another text")), cancel)
                return
        threading.Thread(target=look, daemon=True).start()

    def offline(self):
        with self.lock:
            if self.worker or self.stopping.locked():
                return None, "another state-changing call is under way"
        return self.terminate()

    def terminate(self):
        """Nothing of it is left when this answers 0: not a worker either, which could write the file again."""
        with self.stopping:
            with self.lock:
                self.cancel.set()
                worker = self.worker
            if worker:
                worker.join(2)
                if worker.is_alive():
                    return FAILED, "the worker still runs"
            try:
                self.remove()
            except OSError as error:
                return FAILED, str(error)
            with self.lock:
                self.state = pb.RESOURCE_STATE_OFFLINE
            return SUCCESS, ""

    # Control codes.

    def control(self, request):
        code, size = request.input.control_code, request.input.out_buffer_size
        if len(request.input.in_buffer) > MAX_BUFFER:
            return pb.ControlOutput(status=INVALID_PARAMETER), False
        if code == READ:
            return output(self.text.encode(), size), False
        if code == COUNT:
            try:
                count = int(json.loads(request.input.in_buffer or b"{}").get("to", 3))
            except (ValueError, TypeError, AttributeError):
                return pb.ControlOutput(status=INVALID_DATA), False
            with self.lock:
                if request.context in self.controls:
                    return pb.ControlOutput(), True  # a repetition
                if len(self.controls) >= 16:
                    return pb.ControlOutput(status=SYSTEM_RESOURCES), False
                self.controls[request.context] = code
            threading.Thread(target=self.count, args=(request.context, min(count, 100), size), daemon=True).start()
            return pb.ControlOutput(), True
        return pb.ControlOutput(status=INVALID_FUNCTION), False

    def count(self, context, to, size):
        for _ in range(to):
            stopped.wait(0.01)
        out = output(json.dumps({"counted": to}).encode(), size)
        monitor.call("EndControlCall", pb.EndControlCallRequest(
            context=context, status=out.status, out_buffer=out.out_buffer, bytes_returned=out.bytes_returned))
        with self.lock:
            self.controls.pop(context, None)

    def close(self):
        self.reports.put(None)


def output(buffer, size):
    if len(buffer) > min(size, MAX_BUFFER):
        return pb.ControlOutput(status=MORE_DATA, bytes_returned=len(buffer))
    return pb.ControlOutput(out_buffer=buffer, bytes_returned=len(buffer))


class Provider:
    """The entry points. The handle is the resource id, too."""

    def __init__(self):
        self.lock = threading.Lock()
        self.notes = {}

    def find(self, resource_id):
        with self.lock:
            return self.notes.get(resource_id)

    def GetInfo(self, request, context):
        return pb.GetInfoResponse(
            name="note.example.com", vendor_version="1", protocol_versions=[1], resource_types=[TYPE])

    def GetCapabilities(self, request, context):
        return pb.GetCapabilitiesResponse(
            capabilities=[pb.CAPABILITY_RESOURCE_CONTROL, pb.CAPABILITY_RESOURCE_TYPE_CONTROL])

    def Probe(self, request, context):
        return pb.ProbeResponse(ready=True)

    def Startup(self, request, context):
        if request.resource_type.lower() != TYPE:
            return pb.StartupResponse(status=UNKNOWN_TYPE)
        for version in VERSIONS:
            if request.min_version_supported <= version <= request.max_version_supported:
                return pb.StartupResponse(version=version)
        return pb.StartupResponse(status=REVISION_MISMATCH)

    def Open(self, request, context):
        if request.resource_type.lower() != TYPE:
            return pb.OpenResponse(status=UNKNOWN_TYPE, message=f"no type {request.resource_type[:64]}")
        if not request.resource_handle:
            return pb.OpenResponse(status=INVALID_PARAMETER, message="no resource handle")
        with self.lock:
            if stopped.is_set():
                return pb.OpenResponse(status=SHUTTING_DOWN)
            note = self.notes.get(request.resource_handle)
            if note is None:
                note = self.notes[request.resource_handle] = Note(request)
        with note.lock:
            return pb.OpenResponse(resource_id=note.handle, state=note.state, check_point=note.checkpoint)

    def Close(self, request, context):
        note = self.find(request.resource_id)
        if note is None:
            return pb.CloseResponse()  # a repetition
        if note.state != pb.RESOURCE_STATE_OFFLINE:
            code, _ = note.terminate()
            if code:
                return pb.CloseResponse(status=code)
        with self.lock:
            if self.notes.pop(request.resource_id, None):
                note.close()
        return pb.CloseResponse()

    def Online(self, request, context):
        note = self.find(request.resource_id)
        if note is None:
            return pb.OnlineResponse(status=NOT_FOUND, message="no such resource")
        if stopped.is_set():
            return pb.OnlineResponse(status=SHUTTING_DOWN)
        answered = threading.Event()
        if not context.add_callback(answered.set):
            answered.set()
        code, message = note.online(request, answered)
        if code is None:
            context.abort(grpc.StatusCode.ABORTED, message)
        return pb.OnlineResponse(status=code, event_handle=code in (SUCCESS, IO_PENDING), message=short(message))

    def Offline(self, request, context):
        note = self.find(request.resource_id)
        if note is None:
            return pb.OfflineResponse(status=NOT_FOUND, message="no such resource")
        code, message = note.offline()
        if code is None:
            context.abort(grpc.StatusCode.ABORTED, message)
        return pb.OfflineResponse(status=code, message=short(message))

    def Terminate(self, request, context):
        note = self.find(request.resource_id)
        if note is None:
            return pb.TerminateResponse(status=NOT_FOUND, message="no such resource")
        code, message = note.terminate()
        return pb.TerminateResponse(status=code, message=short(message))

    def LooksAlive(self, request, context):
        note = self.find(request.resource_id)
        return pb.LooksAliveResponse(alive=note is not None and os.path.exists(note.path))

    def IsAlive(self, request, context):
        note = self.find(request.resource_id)
        if note is None:
            return pb.IsAliveResponse(message="no such resource")
        if note.state == pb.RESOURCE_STATE_ONLINE and note.there():
            return pb.IsAliveResponse(alive=True)
        return pb.IsAliveResponse(message=short(f"{note.path} is gone, or has another text"))

    def BeginResourceControl(self, request, context):
        note = self.find(request.resource_id)
        if note is None:
            return pb.BeginResourceControlResponse(output=pb.ControlOutput(status=NOT_FOUND))
        out, later = note.control(request)
        return pb.BeginResourceControlResponse(output=out, returned_asynchronously=later)

    def BeginResourceTypeControl(self, request, context):
        out = pb.ControlOutput(status=INVALID_FUNCTION)
        if request.resource_type_name.lower() != TYPE:
            out = pb.ControlOutput(status=UNKNOWN_TYPE)
        elif request.input.control_code == OPEN_NOTES:
            with self.lock:
                count = len(self.notes)
            out = output(json.dumps({"open": count}).encode(), request.input.out_buffer_size)
        return pb.BeginResourceTypeControlResponse(output=out)

    def terminate_all(self):
        with self.lock:
            notes = list(self.notes.values())
        threads = [threading.Thread(target=note.terminate) for note in notes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(3)


def main():
    socket = os.environ["UNDERSTUDY_PROVIDER_SOCKET"]
    if os.path.exists(socket):
        os.remove(socket)  # of an earlier life
    provider = Provider()
    service = pb.DESCRIPTOR.services_by_name["ProviderService"]
    handlers = {m.name: serve_method(service, m.name, getattr(provider, m.name))
                for m in service.methods if hasattr(provider, m.name)}
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=16), options=[
        ("grpc.max_receive_message_length", 1 << 20), ("grpc.max_send_message_length", 1 << 20)])
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service.full_name, handlers)])
    server.add_insecure_port("unix:" + socket)
    server.start()
    os.chmod(socket, 0o666)  # the monitor is another user
    signal.sigwait(STOP)
    stopped.set()
    # Ownership is about to end: everything goes, at once.
    provider.terminate_all()
    server.stop(None)


stopped = threading.Event()

if __name__ == "__main__":
    # Waited for, not handled: a handler runs on the main thread between any two instructions, and would wait for ever
    # for a lock that the main thread holds there. Blocked before there is another thread, which would get the signal.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP)
    monitor = Monitor(os.environ["UNDERSTUDY_MONITOR_SOCKET"])
    main()
