// The books of a shared quota in Redis: `sharedQuota.ts` in Lua, held to it by the tests. One hash per quota, so all of it is in one slot.
//
//   head       all that is looked at in each step: the clock, who is a member, what all hold of each meter together
//   m:<name>   a member's counters, its meters, and what of its share leaves when, as it said it
//   w:<name>   its lines
//   remains    what the dead may have been charged still, one by one
//   turns      what each class, tenant and member has had: read when something is given out
//
// Of the fields, a step reads the head, those of who asks, and what else it needs. They are msgpack, which keeps numbers as they are; so does what
// is answered, which is written by hand for that: cjson would round, and a member that believes it was granted more than the books say takes them
// for books that were rolled back. All that is written is written at the end, and what may be refused for want of memory first: an error leaves
// all as it was.
import { allot } from "./lua/allot.ts"
import { books } from "./lua/books.ts"
import { step } from "./lua/step.ts"

/** The parts of the script that a test replaces. */
export interface Surroundings {
  /** Lua for the time in whole milliseconds. */
  readonly clock: string
  /** Lua for the name of the server's own history: another one after a restart or a failover. `''` where it is not to be known. */
  readonly place: string
}

/** The server's own. */
export const server: Surroundings = {
  clock: `(function()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end)()`,
  place: `(function()
  local info = redis.pcall('INFO', 'replication')
  return type(info) == 'string' and string.match(info, 'master_replid:(%x+)') or ''
end)()`
}

/** A script of one key, the quota's: what `exchange` or `leave` of `sharedQuota.ts` does. */
export const lua = (kind: "exchange" | "leave", { clock, place }: Surroundings): string =>
  `local leaving, now, place = ${kind === "leave"}, ${clock}, ${place}\n${books}${allot}${step}`
