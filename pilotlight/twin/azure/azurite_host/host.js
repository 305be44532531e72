"use strict";
// `node azurite_host.js ARGUMENTS`: Azurite as the twin runs it; `azurite.py` sets AZURITE_MODULES and AZURITE_KEY.
//
// Six things differ from Azurite's own start. What it answers is on disk before: Azurite itself writes its tables of contents every five
// seconds, and a kill loses what came between. Every account exists, all with one key, since only the twin calls it. Its time is the twin's,
// which each request tells. Blobs are not forced to the medium: they survive the process, and that is what the twin promises. What it looks
// for it finds by the index that narrows most: by itself it takes the first one, that of the account, where everything is. And it is spared
// work with each request: to sort all messages, to read the templates of all operations, to have small files read and written by other threads.
// It hooks into inner functions of Azurite and LokiJS, which is why their versions are pinned; a test kills it in the middle of work.

const fs = require("fs");
const http = require("http");
const path = require("path");
const { createRequire } = require("module");
const { Readable } = require("stream");

const modules = createRequire(path.join(process.env.AZURITE_MODULES, "/"));

function remembered(ask) {
  const told = new Map();
  return (...given) => {
    const known = given.join(" ");
    if (!told.has(known)) told.set(known, ask(...given));
    return told.get(known);
  };
}

// For each request Azurite asks of every operation that it knows whether the path is one of its template's, and reads the template anew for
// that. By then a path of blobs or queues is one of a few patterns (`/container/blob`); that of a table has the keys of entities.
const template = modules("uri-templates");
modules.cache[modules.resolve("uri-templates")].exports = remembered(template);
for (const service of ["blob", "queue"]) {
  const utils = modules(`azurite/dist/src/${service}/generated/utils/utils`);
  utils.isURITemplateMatch = remembered(utils.isURITemplateMatch);
}

const Loki = modules("lokijs");
const ExtentStore = modules("azurite/dist/src/common/persistence/FSExtentStore").default;
const AccountDataStore = modules("azurite/dist/src/common/AccountDataStore").default;
const QueueStore = modules("azurite/dist/src/queue/persistence/LokiQueueMetadataStore").default;
const { ZERO_EXTENT_ID } = modules("azurite/dist/src/blob/persistence/IBlobMetadataStore");
const SAVE_EVERY_MS = 30000;
const SMALL_BYTES = 65536;

// The changes of one database since it was last saved: a line each, the whole document as it became, so that applying one twice does no harm.
// A save begins a new file and, once it is on disk, removes the older ones.
class Journal {
  constructor(database) {
    this.database = database;
    this.files = [];
    const prefix = path.basename(database) + ".journal-";
    for (const name of fs.existsSync(path.dirname(database)) ? fs.readdirSync(path.dirname(database)) : []) {
      if (name.startsWith(prefix)) this.files.push(Number(name.slice(prefix.length)));
    }
    this.files.sort((one, other) => one - other);
    this.newest = this.files.at(-1) ?? 0;
    this.descriptor = null;
  }

  file(number) {
    return `${this.database}.journal-${number}`;
  }

  write(entry) {
    if (this.descriptor === null) {
      this.newest += 1;
      this.files.push(this.newest);
      this.descriptor = fs.openSync(this.file(this.newest), "a");
    }
    fs.writeSync(this.descriptor, JSON.stringify(entry) + "\n");
  }

  // What removes all that was written until now, or keeps it.
  rotate() {
    const old = this.files;
    this.files = [];
    if (this.descriptor !== null) fs.closeSync(this.descriptor);
    this.descriptor = null;
    return { remove: () => old.forEach((number) => fs.rmSync(this.file(number), { force: true })), keep: () => this.files.unshift(...old) };
  }

  entries() {
    return this.files.flatMap((number) => {
      const lines = fs.readFileSync(this.file(number), "utf8").split("\n");
      lines.pop(); // empty, or cut off before it was answered
      return lines.map((line) => JSON.parse(line));
    });
  }
}

const journals = new Map();
const owners = new WeakMap();
const loading = new WeakSet();

function journalOf(database) {
  if (!journals.has(database)) journals.set(database, new Journal(database));
  return journals.get(database);
}

function note(collection, id, document) {
  const database = owners.get(collection);
  if (database !== undefined && !loading.has(database)) journalOf(database.filename).write([collection.name, id, document]);
}

// Calls `after(result, arguments)` on the object whenever the method has done its work; `before` gives what only can be known then.
function hook(type, name, after, before = () => undefined) {
  const original = type.prototype[name];
  type.prototype[name] = function (...given) {
    const known = before.call(this, ...given);
    const result = original.apply(this, given);
    after.call(this, result, given, known);
    return result;
  };
}

hook(Loki.Collection, "insertOne", function (inserted) {
  if (inserted) note(this, inserted.$loki, inserted);
});
hook(Loki.Collection, "update", function (updated, [given]) {
  if (!Array.isArray(given)) note(this, updated.$loki, updated);
});
hook(
  Loki.Collection,
  "remove",
  function (_, [given], id) {
    if (id !== undefined) note(this, id, null);
  },
  (given) => (typeof given === "number" || Array.isArray(given) ? undefined : given.$loki),
);
hook(
  Loki.Collection,
  "removeBatchByPositions",
  function (_, given, ids) {
    ids.forEach((id) => note(this, id, null));
  },
  function (positions) {
    this.ensureId();
    return positions.map((position) => this.idIndex[position]);
  },
);
hook(Loki, "addCollection", function (collection, [name, options]) {
  if (!owners.has(collection) && !loading.has(this)) journalOf(this.filename).write([name, "made", options ?? {}]);
  owners.set(collection, this);
});
hook(Loki, "removeCollection", function (_, [name]) {
  if (!loading.has(this)) journalOf(this.filename).write([name, "removed"]);
});

const loadJSONObject = Loki.prototype.loadJSONObject;
Loki.prototype.loadJSONObject = function (...given) {
  loading.add(this);
  try {
    loadJSONObject.apply(this, given);
    replay(this, journalOf(this.filename).entries());
  } finally {
    loading.delete(this);
  }
};

function replay(database, entries) {
  const touched = new Map();
  for (const [name, id, document] of entries) {
    if (id === "made") {
      if (database.getCollection(name) === null) database.addCollection(name, document);
    } else if (id === "removed") {
      database.removeCollection(name);
      touched.delete(name);
    } else {
      const collection = database.getCollection(name);
      if (collection === null) continue; // removed since, with all that it held
      if (!touched.has(name)) touched.set(name, new Map(collection.data.map((one) => [one.$loki, one])));
      collection.maxId = Math.max(collection.maxId, id);
      if (document === null) touched.get(name).delete(id);
      else touched.get(name).set(id, document);
    }
  }
  for (const [name, documents] of touched) {
    const collection = database.getCollection(name);
    collection.data = [...documents.values()].sort((one, other) => one.$loki - other.$loki);
    collection.idIndex = null;
    collection.constraints.unique = {};
    collection.dirty = true;
    collection.ensureAllIndexes(true);
  }
}

const saveDatabase = Loki.LokiFsAdapter.prototype.saveDatabase;
Loki.LokiFsAdapter.prototype.saveDatabase = function (name, content, callback) {
  // Called in the same turn in which the content was written out, so that no change falls between.
  const until = journalOf(name).rotate();
  saveDatabase.call(this, name, content, (error) => {
    if (error) until.keep();
    else until.remove();
    callback(error);
  });
};

const autosaveEnable = Loki.prototype.autosaveEnable;
Loki.prototype.autosaveEnable = function (...given) {
  this.autosaveInterval = SAVE_EVERY_MS;
  return autosaveEnable.apply(this, given);
};

const key = Buffer.from(process.env.AZURITE_KEY, "base64");
AccountDataStore.prototype.getAccount = (name) => ({ name, key1: key });

const MachineDate = Date;
let ahead = 0;
let shown = 0;
const now = () => (shown = Math.max(shown, MachineDate.now() + ahead));
globalThis.Date = class Date extends MachineDate {
  constructor(...given) {
    super(...(given.length ? given : [now()]));
  }
  static now() {
    return now();
  }
  static [Symbol.hasInstance](value) {
    return value instanceof MachineDate;
  }
};
function narrowestFirst(collection, query) {
  const keys = typeof query === "object" && query !== null ? Object.keys(query) : [];
  let [narrowest, least] = [undefined, Infinity];
  for (const key of keys.length > 1 ? keys : []) {
    if (collection.binaryIndices[key] === undefined || typeof query[key] !== "string") continue;
    collection.ensureIndex(key);
    const [first, last] = collection.calculateRange("$eq", key, query[key]);
    if (last - first < least) [narrowest, least] = [key, last - first];
  }
  return narrowest === undefined ? query : { [narrowest]: query[narrowest], ...query };
}

const findOne = Loki.Collection.prototype.findOne;
Loki.Collection.prototype.findOne = function (query) {
  return findOne.call(this, narrowestFirst(this, query));
};

// Several at once, LokiJS makes every index of the collection again: 10 ms with 5,000 messages, for each call that takes some.
const update = Loki.Collection.prototype.update;
Loki.Collection.prototype.update = function (given) {
  if (!Array.isArray(given)) return update.call(this, given);
  given.forEach((one) => this.update(one));
};

// Azurite goes through all messages for those that are over with each call, and makes every index again for none: 15 ms with 5,000. Nothing is
// over before the first of them is.
const soonest = new WeakMap();
const over = (message) => new MachineDate(message.expirationTime).getTime();

const clearExpiredMessages = QueueStore.prototype.clearExpiredMessages;
QueueStore.prototype.clearExpiredMessages = async function (account, queue, context) {
  const messages = this.db.getCollection(this.MESSAGES_COLLECTION);
  if (now() < (soonest.get(messages) ?? 0)) return;
  await clearExpiredMessages.call(this, account, queue, context);
  soonest.set(messages, messages.data.reduce((first, message) => Math.min(first, over(message)), Infinity));
};

const insertMessage = QueueStore.prototype.insertMessage;
QueueStore.prototype.insertMessage = async function (message, context) {
  await insertMessage.call(this, message, context);
  const messages = this.db.getCollection(this.MESSAGES_COLLECTION);
  soonest.set(messages, Math.min(soonest.get(messages) ?? 0, over(message)));
};

// So many messages of a queue as can be seen by then, those first that could be longest. Azurite sorts them all for each call.
function seen(messages, account, queue, then, most) {
  const sooner = (one, other) => one.timeNextVisible - other.timeNextVisible || one.$loki - other.$loki;
  const first = [];
  for (const message of messages.data) {
    if (message.queueName !== queue || message.accountName !== account || message.timeNextVisible > then) continue;
    let place = first.length;
    while (place > 0 && sooner(message, first[place - 1]) < 0) place -= 1;
    if (place === most) continue;
    first.splice(place, 0, message);
    if (first.length > most) first.pop();
  }
  return first;
}

QueueStore.prototype.peekMessages = async function (account, queue, most = 1, date, context) {
  this.checkQueueExist(account, queue, context);
  this.clearExpiredMessages(account, queue, context);
  const messages = this.db.getCollection(this.MESSAGES_COLLECTION);
  return seen(messages, account, queue, date?.getTime() ?? now(), most).map((message) => this.messageCopy(message));
};

QueueStore.prototype.getMessages = async function (account, queue, timeNextVisible, popReceipt, most = 1, date, context) {
  this.checkQueueExist(account, queue, context);
  this.clearExpiredMessages(account, queue, context);
  const messages = this.db.getCollection(this.MESSAGES_COLLECTION);
  const taken = seen(messages, account, queue, date?.getTime() ?? now(), Math.max(1, most));
  for (const message of taken) {
    message.timeNextVisible = timeNextVisible.getTime();
    message.popReceipt = popReceipt;
    message.dequeueCount = Number(message.dequeueCount) + 1;
  }
  messages.update(taken);
  return taken.map((message) => this.messageCopy(message));
};

const removeBatch = Loki.Collection.prototype.removeBatch;
Loki.Collection.prototype.removeBatch = function (documents) {
  if (documents.length > 0) removeBatch.call(this, documents);
};

// Azurite has other threads write what it stores, and open, read and close a file for what it gives: 0.1 ms of processor time for each small
// blob or message. What the system holds in memory needs no other thread.
const streamPipe = ExtentStore.prototype.streamPipe;
ExtentStore.prototype.streamPipe = function (from, to, descriptor, context) {
  if (Number(from.headers?.["content-length"] ?? 0) > SMALL_BYTES) return streamPipe.call(this, from, to, descriptor, context);
  return new Promise((resolve, reject) => {
    let count = 0;
    const written = (data) => {
      try {
        fs.appendFileSync(descriptor, data);
        count += data.length;
      } catch (error) {
        reject(error);
      }
    };
    const done = () => resolve(count);
    from.on("data", written).on("end", done).on("close", done).on("error", reject);
  });
};

const readExtent = ExtentStore.prototype.readExtent;
ExtentStore.prototype.readExtent = async function (chunk, context) {
  const stored = chunk?.count > 0 && chunk.id !== ZERO_EXTENT_ID;
  if (!stored || chunk.count > SMALL_BYTES) return readExtent.call(this, chunk, context);
  const file = this.generateExtentPath(await this.metadataStore.getExtentLocationId(chunk.id), chunk.id);
  return new Readable({
    read() {
      try {
        this.push(content(file, chunk.offset, chunk.count));
        this.push(null);
      } catch (error) {
        this.destroy(error);
      }
    },
  });
};

function content(file, offset, count) {
  const descriptor = fs.openSync(file);
  try {
    const data = Buffer.allocUnsafe(count);
    return data.subarray(0, fs.readSync(descriptor, data, 0, count, offset));
  } finally {
    fs.closeSync(descriptor);
  }
}

const emit = http.Server.prototype.emit;
http.Server.prototype.emit = function (event, request, ...given) {
  // Never back: where the twin's time stands still, a message would be put a moment after the one at which it is looked for.
  if (event === "request" && request.headers["x-twin-time"]) ahead = Math.max(Number(request.headers["x-twin-time"]), shown) - MachineDate.now();
  return emit.call(this, event, request, ...given);
};

fs.fdatasync = (descriptor, callback) => process.nextTick(callback, null);

modules("azurite/dist/src/azurite.js");
