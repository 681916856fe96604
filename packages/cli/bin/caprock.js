#!/usr/bin/env node
// Plain JavaScript that an old Node can read: all it does is to say so, or to start the program.
const [major, minor] = process.versions.node.split(".").map(Number)
if (major < 22 || (major === 22 && minor < 19)) {
  process.stderr.write(
    "caprock needs Node 22.19 or newer, and this is Node " + process.versions.node + ".\n" +
      "Run it with a newer one: npx -y -p node@24 -p @caprock/cli caprock\n"
  )
  process.exitCode = 2
} else {
  import("node:module").then((module) => {
    // Half of a start is compiling: remember it, where this Node can.
    if (module.enableCompileCache) module.enableCompileCache()
    // Node runs the sources as they are, except inside node_modules, where the built files are.
    return import(import.meta.url.includes("/node_modules/") ? "../dist/bin.js" : "../src/bin.ts")
  })
}
