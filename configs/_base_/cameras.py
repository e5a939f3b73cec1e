"""The six cameras of nuScenes, whose images alone are loaded; `image_size` is for those who read this to say."""

cameras = ("CAM_FRONT_LEFT", "CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_LEFT", "CAM_BACK", "CAM_BACK_RIGHT")
views = dict(load_images=True, cameras=cameras, load_occupancy=False, load_visible=False, load_boxes=False)
