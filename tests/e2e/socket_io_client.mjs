// Sends some messages by HTTP polling over several connections, and prints the answers as JSON.
import { Agent } from "node:http";
import { io } from "socket.io-client";

const [url, count] = process.argv.slice(2);
const socket = io(url, {
  agent: new Agent({ keepAlive: false }),
  reconnection: false,
  transports: ["polling"],
  withCredentials: true,
});
const failed = (error) => { console.log(JSON.stringify([String(error)])); process.exit(); };
socket.on("connect_error", failed);
socket.on("disconnect", failed);
socket.on("connect", async () => {
  const answers = [];
  for (let number = 0; number < Number(count); number += 1) {
    answers.push(await socket.emitWithAck("echo", `message ${number}`));
  }
  console.log(JSON.stringify(answers));
  process.exit();
});
