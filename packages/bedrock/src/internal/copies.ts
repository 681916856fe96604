// Whether the program runs another copy of Effect than the one that this package brings along.
import * as Effect from "effect/Effect"

/**
 * Says it, once for each layer, where two copies meet. They do where the program's range of `effect` and ours have no version in common,
 * or where the package manager kept two that would; and as long as the two are alike nothing else shows it.
 *
 * @internal
 */
export const warned: Effect.Effect<void> = Effect.withFiber((fiber) =>
  // What runs this is the program's; what makes a fiber here is ours.
  fiber.constructor === Effect.runFork(Effect.void).constructor ? Effect.void : Effect.logWarning(
    "The program runs one copy of effect, and @caprock/bedrock was installed with another. " +
      "Let `effect` be a version that both take (`npm ls effect` shows them), and install again."
  )
)
