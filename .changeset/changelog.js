// How a changeset stands in the changelogs: as it was written. All packages have one version, so that a package depends
// on the others' new versions goes without saying.

export default {
  getReleaseLine: async ({ summary }) => {
    const [first, ...rest] = summary.trim().split("\n")
    return [`- ${first}`, ...rest.map((line) => line === "" ? "" : `  ${line}`)].join("\n")
  },
  getDependencyReleaseLine: async () => ""
}
