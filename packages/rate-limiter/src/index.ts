export * as Cost from "./Cost.ts"
export * as Meter from "./Meter.ts"
