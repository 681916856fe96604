import * as ObjectStore from "@caprock/batch/ObjectStore"
import { suite } from "./storeSuite.ts"

suite("in memory", ObjectStore.layerMemory())
