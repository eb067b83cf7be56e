// SPDX-License-Identifier: Apache-2.0
// The camera as live video: frames go to /v1/live, and questions about them are answered from there.

import { ServerError } from "./api.js";

const FRAMES_PER_SECOND = 2;
const LONGEST_SIDE = 640;
const MOST_BUFFERED_BYTES = 1e6; // of a slow connection; further frames are skipped until it has sent them
const STATUS_SECONDS = 2;

export class Live {
  // `onState(text)` shows what is kept; `onEnd(message)` is called when the connection ends by itself.
  constructor(onState, onEnd) {
    Object.assign(this, { onState, onEnd, isOn: false, skipped: 0, questions: 0, waiting: new Map() });
  }

  async start({ model, key, maxPixels }) {
    if (!navigator.mediaDevices) throw new Error("The camera can be used only over HTTPS or on localhost.");
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 640 } } });
    } catch (error) {
      throw new Error(`The camera cannot be used: ${error.message}`);
    }
    this.video = document.createElement("video");
    Object.assign(this.video, { srcObject: this.stream, muted: true });
    await this.video.play();
    const options = { model, ...(key ? { api_key: key } : {}), ...(maxPixels === null ? {} : { max_pixels: maxPixels }) };
    try {
      await this.connect({ type: "start", ...options });
    } catch (error) {
      this.stop();
      throw error;
    }
    this.isOn = true;
    this.figure = { kind: "live", title: "Camera", stream: this.stream, source: "" };
    this.started = performance.now();
    this.timers = [
      setInterval(() => this.sendFrame(), 1000 / FRAMES_PER_SECOND),
      setInterval(() => this.send({ type: "status" }), 1000 * STATUS_SECONDS),
    ];
    this.sendFrame();
  }

  stop() {
    this.isOn = false;
    for (const timer of this.timers ?? []) clearInterval(timer);
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.socket?.close();
    this.onState("");
  }

  // The pieces of an answer, in the form of the chunks of a chat completion.
  async *chunks(body, text, signal) {
    const id = String(this.questions++);
    const received = [];
    let wake = () => {};
    this.waiting.set(id, (message) => {
      received.push(message);
      wake();
    });
    signal.addEventListener("abort", () => this.send({ type: "cancel", id }));
    this.send({ type: "ask", id, text, ...body });
    try {
      for (;;) {
        if (!received.length) await new Promise((resolve) => { wake = resolve; });
        const message = received.shift();
        if (message.type === "error") throw new ServerError(message.error.message, 200);
        if (message.type === "delta") yield { choices: [{ delta: { content: message.text } }] };
        if (message.type !== "answer") continue;
        const { finish_reason, finesight, media, usage } = message;
        yield { choices: [{ delta: {}, finish_reason, finesight }], media, usage };
        return;
      }
    } finally {
      this.waiting.delete(id);
    }
  }

  connect(start) {
    return new Promise((resolve, reject) => {
      this.socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}/v1/live`);
      this.socket.onopen = () => this.send(start);
      this.socket.onmessage = (event) => {
        const message = JSON.parse(event.data);
        if (message.type === "ready") resolve();
        if (message.type === "error") reject(new ServerError(message.error.message, 200));
        this.receive(message);
      };
      this.socket.onclose = () => {
        reject(new ServerError("The server closed the connection for live video.", 0));
        if (this.isOn) this.end("The connection for live video ended.");
      };
    });
  }

  receive(message) {
    if (message.type === "frames") {
      const { kept, thinned, expired, dropped } = message.frames;
      const lost = Object.values(dropped).reduce((sum, count) => sum + count, 0) + this.skipped;
      this.onState(`${kept} frames kept, ${thinned + expired} older ones removed, ${lost} dropped`);
    } else if (message.type === "dropped") {
      this.onState(`A frame was dropped: ${message.message}`);
    } else {
      this.waiting.get(message.id)?.(message);
    }
  }

  end(message) {
    for (const push of this.waiting.values()) push({ type: "error", error: { message } });
    this.stop();
    this.onEnd(message);
  }

  send(message) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  // Sends the frame that the camera shows now: its time as a big-endian float64, then a JPEG file.
  sendFrame() {
    if (this.socket.bufferedAmount > MOST_BUFFERED_BYTES) {
      this.skipped += 1;
      return;
    }
    const { videoWidth: width, videoHeight: height } = this.video;
    const scale = Math.min(1, LONGEST_SIDE / Math.max(width, height));
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [Math.round(width * scale), Math.round(height * scale)];
    canvas.getContext("2d").drawImage(this.video, 0, 0, canvas.width, canvas.height);
    const header = new DataView(new ArrayBuffer(8));
    header.setFloat64(0, (performance.now() - this.started) / 1000);
    canvas.toBlob((file) => {
      if (this.socket.readyState === WebSocket.OPEN) this.socket.send(new Blob([header, file]));
    }, "image/jpeg", 0.8);
  }
}
