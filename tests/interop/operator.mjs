// An operator, written from docs/operator-protocol.md alone. URL, NAME and TOKEN stand in the
// environment; WS is where npm's `ws` is. It answers {"did": input, "by": name}, fails "fail",
// and never answers "wait".
const { WebSocket } = await import(process.env.WS);

const { URL: url, NAME: name, TOKEN: token } = process.env;
const PROTOCOL = "swarm.operator.v1";
const state = { session: null, epoch: 0, sent: 0, received: 0, limits: null, redeliver: 5 };
let kept = []; // what we said, until it is acknowledged: {n, at, body}
let early = new Map(); // what overtook others
const holding = new Map(); // key -> order
const answers = new Map(); // key -> {body, settled}
const parts = new Map(); // key -> {heard: by the host that there is, said: name -> body}
let line = null;
let live = false;
let failures = 0;

const put = (message) => {
  if (line && line.readyState === WebSocket.OPEN) line.send(JSON.stringify(message));
};
const stamped = (body, n) => ({ ...body, n, ack: state.received, epoch: state.epoch });
const say = (body) => {
  const one = { n: ++state.sent, at: Date.now(), body };
  kept.push(one);
  if (live) put(stamped(body, one.n));
};
const ack = () => put({ type: "ack", ack: state.received, epoch: state.epoch });
const answer = (order, body) => {
  if (!holding.delete(order.key)) return; // cancelled meanwhile
  const whole = { ...body, key: order.key };
  if (order.token && body.type !== "answer") whole.token = order.token;
  answers.set(order.key, { body: whole, settled: false });
  sayAgain(order.key, order.token);
  say(whole);
};
const part = (key, name, value) => {
  const body = { type: "part", key, name, value };
  if (!parts.has(key)) parts.set(key, { heard: true, said: new Map() });
  parts.get(key).said.set(name, body);
  say(body);
};
const sayAgain = (key, token) => {
  const told = parts.get(key);
  if (!told || told.heard) return;
  told.heard = true;
  for (const body of told.said.values()) say({ ...body, token });
};

function work(order) {
  if (order.input === "wait") return;
  say({ type: "progress", key: order.key, text: `at ${order.input}` });
  part(order.key, "note", order.input);
  if (order.input === "fail") {
    answer(order, { type: "fail", code: "operator.failed", message: "as asked" });
  } else {
    answer(order, { type: "result", value: { did: order.input, by: name } });
  }
}

function heard(message) {
  switch (message.type) {
    case "assign":
    case "offer": {
      const { order } = message;
      const known = answers.get(order.key);
      if (known) {
        known.body.token = order.token; // asked again: the same answer, with its parts
        sayAgain(order.key, order.token);
        return say(known.body);
      }
      if (message.type === "offer") say({ type: "accept", key: order.key });
      const again = holding.has(order.key);
      holding.set(order.key, order);
      sayAgain(order.key, order.token);
      if (!again) setImmediate(work, order);
      return;
    }
    case "settled":
      if (answers.has(message.key)) answers.get(message.key).settled = true;
      return;
    case "cancel":
      if (holding.delete(message.key)) parts.delete(message.key);
  }
}

function received(message) {
  if (message.type === "welcome") return welcomed(message);
  if (!live || message.epoch !== state.epoch) return;
  kept = kept.filter((one) => one.n > message.ack);
  if (message.n === undefined || message.type === "error") return;
  if (message.n > state.received) early.set(message.n, message);
  for (let next; (next = early.get(state.received + 1)); ) {
    early.delete(++state.received);
    heard(next);
  }
  ack();
}

function welcomed(welcome) {
  state.epoch = welcome.epoch;
  state.redeliver = welcome.redeliver_s;
  live = true;
  failures = 0;
  if (welcome.resumed) {
    kept = kept.filter((one) => one.n > welcome.last);
    for (const one of kept) put(stamped(one.body, one.n));
    return;
  }
  Object.assign(state, { session: welcome.session, sent: 0, received: 0 });
  kept = [];
  early = new Map();
  for (const told of parts.values()) told.heard = false;
  for (const { body, settled } of answers.values()) {
    if (settled) continue;
    sayAgain(body.key, body.token);
    say(body);
  }
}

function open() {
  line = new WebSocket(url, [PROTOCOL], {
    headers: { Authorization: `Bearer ${token}` },
    perMessageDeflate: false,
  });
  line.on("open", () => {
    const resume = state.session && { session: state.session, last: state.received };
    const latest = [...answers.keys()].slice(-100);
    put({ type: "hello", name, seats: ["reviewer"], capacity: 4, resume, holding: [...holding.keys(), ...latest] });
  });
  line.on("message", (data) => received(JSON.parse(data)));
  line.on("error", () => {});
  line.on("close", (code) => {
    live = false;
    if ([4401, 4403, 4406, 4409].includes(code)) process.exit(1);
    // The page says half a second at first; a test does not wait that long.
    const wait = Math.min(20 * 2 ** failures++, 30000) * (0.5 + Math.random() / 2);
    setTimeout(open, wait);
  });
}

setInterval(() => {
  const due = Date.now() - state.redeliver * 1000;
  for (const one of live ? kept : []) {
    if (one.at <= due) {
      one.at = Date.now();
      put(stamped(one.body, one.n));
    }
  }
}, 50);
open();
