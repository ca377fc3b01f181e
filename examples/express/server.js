// A service of Express and socket.io: `say` is answered with `said`.
const express = require("express");
const { createServer } = require("node:http");
const { Server } = require("socket.io");

const version = process.env.APP_VERSION;
const app = express();
app.all("/", (_, answer) => answer.json({ version }));

const server = createServer(app);
// Longer than nginx keeps an idle connection (30 s): otherwise a request can meet one that Node has just closed.
server.keepAliveTimeout = 65_000;

// Polling sends the requests of one session to both slots while a release takes over; a WebSocket stays on one.
const sockets = new Server(server, { transports: ["websocket"] });
sockets.on("connection", (socket) => {
  socket.on("say", (words) => socket.emit("said", `${version}: ${words}`));
});

server.listen(process.env.APP_PORT, process.env.APP_HOST);
