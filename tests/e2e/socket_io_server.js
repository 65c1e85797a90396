// A socket.io server with its clients' state in its memory, as all are. It says which one it is.
const { createServer } = require("node:http");
const { Server } = require("socket.io");

const server = createServer((request, response) => response.end("here"));
const io = new Server(server);
io.on("connection", (socket) => {
  socket.on("echo", (text, answer) => answer(`${text} from ${process.env.PORT}`));
});
server.listen(process.env.PORT, "127.0.0.1");
