/**
 * How long a turn of the event loop may be. A batch has gigabytes to go through, and live calls of the same process wait for their turn meanwhile: after so many
 * bytes they get it.
 */

/** At some 100 MB/s a millisecond or two, and what a turn costs is little beside that. */
export const bytes = 128 * 1024

/** Is told of work in bytes: whether it is enough for this turn. */
export const make = (): (size: number) => boolean => {
  let done = 0
  return (size) => {
    done += size
    if (done < bytes) return false
    done = 0
    return true
  }
}
